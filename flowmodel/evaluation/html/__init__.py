"""The report as one HTML page. Start reading at page.py."""
