"""Images: decoding, premultiplied RGBA, SVG, PNG and grids. Nothing here depends on icon sets or networks."""
