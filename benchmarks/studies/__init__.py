"""What only the reports and ablations measure: studies of one question each."""
