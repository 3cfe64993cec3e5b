"""What the integration tests stand on: a gateway under test, raw WebSocket clients, targets, waiting."""
