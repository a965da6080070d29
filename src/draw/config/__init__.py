"""What a run is made of, as frozen dataclasses that check themselves."""
