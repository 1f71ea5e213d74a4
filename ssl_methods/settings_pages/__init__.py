"""What is generated from the settings: two reference pages and the JSON schema for editors."""
