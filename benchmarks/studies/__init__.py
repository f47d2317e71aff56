"""Studies of one question each. Only the reports and ablations use them."""
