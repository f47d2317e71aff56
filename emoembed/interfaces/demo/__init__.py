"""The demonstration page: `emoembed demo`."""
