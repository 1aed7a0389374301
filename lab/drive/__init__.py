"""EFFECT. The only room that talks to guests: SSH commands, roles, traffic."""
