"""The web service: `emoembed serve`."""
