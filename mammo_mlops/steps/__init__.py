"""The code that runs inside SageMaker containers."""
