"""What the console itself remembers: a person's preferences and named views of lists."""

from typing import Any

from django.conf import settings
from django.db import models


class Preference(models.Model):
    """How a person wants the console to behave, on whatever machine they sit."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True)
    single_keys = models.BooleanField(default=True)
    """Whether keys such as `j` act without Ctrl (WCAG 2.1.4 asks for the switch)."""

    @classmethod
    def single_keys_of(cls, user: Any) -> bool:
        """Whether single keys act for a person; they do until switched off."""
        found = cls.objects.filter(user=user).values_list("single_keys", flat=True).first()
        return True if found is None else found


class SavedView(models.Model):
    """A list's filter, order and columns under a name: the query string that shows it again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=40)
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, blank=True)
    shared = models.BooleanField(default=False)
    """Whether everybody sees it; only its owner may delete it."""
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="view_name")]

    def __str__(self) -> str:
        return f"{self.page}: {self.name}"
