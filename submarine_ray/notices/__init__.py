"""Notifications of users: written together with the event that they are about, read under the bell."""
