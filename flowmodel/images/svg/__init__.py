"""SVG: parsed as in browsers, converted to features that the renderer supports, and rendered.

`parse` turns bytes into a tree. `cascade` gives every element its computed values, with the help of `sheets`, `values`,
`colors` and `media`. `smil`, `keyframes`, `effects` and `moments` evaluate animations. `resolve` combines these steps. All of
it runs in a `worker`, a process that may be killed at any time. Other code calls `render`.
"""
