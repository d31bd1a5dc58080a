"""What the error would have been: the last steps of sent series, held out, forecast and compared with naive ones.

A call's way: `call` cuts windows from the series and has the engine forecast them, `judgement` measures the model's
errors and those of the baselines, and `writing` tells of them.
"""
