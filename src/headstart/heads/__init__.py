"""Linear heads on frozen features: exact ridge, logistic regression, and the search over both."""
