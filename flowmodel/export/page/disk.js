// A classic script, because browsers run no modules from file://, where the page would load for ever.
if (location.protocol === "file:") {
  const words = "A browser can't run this page from a file. Run `python -m http.server --bind 127.0.0.1` in its folder, " +
    "then open http://127.0.0.1:8000.";
  document.getElementById("status").textContent = document.getElementById("refusal").textContent = words;
  document.getElementById("refusal").hidden = false;
  document.getElementById("generate").disabled = true;
}
