"""The textbook's claims about neural networks, tried out on the bundled data.

Each experiment is a file of its own: a claim, what was measured, a verdict that follows from it, and pictures.
`experiment` is what they have in common, `networks` what they train, `run` does them one after the other, and `report`
writes what came out.
"""
