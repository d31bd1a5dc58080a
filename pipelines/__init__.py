"""What a person runs: training, evaluation, registration and bulk forecasts, tracked in MLflow."""
