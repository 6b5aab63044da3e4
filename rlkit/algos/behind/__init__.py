"""What algorithms share that prepare data or rewards for any other agent behind them."""
