"""What a prediction is worth: class metrics, speech errors, calibration, and intervals for all of them."""
