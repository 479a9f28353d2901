"""What holds without a clock, a database or a network: values, decisions and folds."""
