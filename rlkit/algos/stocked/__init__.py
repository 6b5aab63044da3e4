"""What an agent on a stock needs besides its update: utilities, and whether its data carry one."""
