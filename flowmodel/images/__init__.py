"""Pictures: decoding, premultiplied RGBA, SVG, PNG and grids. Nothing here knows of icon sets or of networks."""
