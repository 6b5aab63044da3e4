"""Pure exploration: best arms, designs and allocations, learning to learn actively."""
