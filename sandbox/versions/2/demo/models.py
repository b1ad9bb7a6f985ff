from django.db import models


class Job(models.Model):
    """One task somebody asked for, and what became of it."""

    text = models.CharField(max_length=200)
    answer = models.CharField(max_length=200, blank=True)
    asked = models.DateTimeField(auto_now_add=True)
    done = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, null=True)  # null: version 1 does not know it
