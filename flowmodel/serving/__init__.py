"""Serves a model over HTTP with OpenAI's images API (docs/serving.md).

`engine.py` samples waiting requests in batches, independently of HTTP. `requests.py` validates requests, `encoding.py` encodes
images as files, and `admission.py` limits the queue. `app.py` has the HTTP endpoints, `models.py` finds the model and follows
its alias, and `server.py` runs the process.
"""
