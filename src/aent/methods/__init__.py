"""Named ways of controlling entropy, one file for each; `aent.methods.load` has them by name.

Each is one `aent.method.Method` that a reader can check against its paper.
"""
