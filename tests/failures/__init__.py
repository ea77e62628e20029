"""What fails: servers, the SDK's later releases, ourselves."""
