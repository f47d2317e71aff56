"""How good a model is: protocols, held-out training, figures."""
