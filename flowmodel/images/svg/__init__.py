"""SVG: read as browsers read it, brought to what the renderer understands, and drawn.

`parse` makes a tree of a file's bytes; `cascade` gives every element the values that its style sheets mean, `values`, `colors`
and `media` resolve them; `timeline`, `smil` and `keyframes` take a moment of an animation; `resolve` is the list of these steps.
All of it runs in a `worker`, a process that may be ended at any time; `render` is what everything else calls.
"""
