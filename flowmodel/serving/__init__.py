"""A model over HTTP, with OpenAI's images API (docs/serving.md).

`engine.py` draws what waits in batches, and knows nothing of HTTP. `requests.py` says what may be asked for, `pictures.py` makes
files of what was drawn, and `admission.py` bounds what waits. `app.py` is the HTTP of it, `models.py` finds the model and follows
its alias, and `server.py` is the process.
"""
