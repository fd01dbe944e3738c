"""What the package `open_webui` is made of: questions to the gateway, records, and stand-ins for what is not here."""
