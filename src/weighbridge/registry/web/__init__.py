"""The pages that people look at. They work without script; what comes from artifacts is escaped and shown as it is."""
