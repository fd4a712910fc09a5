"""The parts of an agent, each built from the settings it needs: what `app` puts together."""
