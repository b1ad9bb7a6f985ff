import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
# Django imports the views at the first request, in each worker anew. Loaded before Gunicorn
# forks, they make no visitor of a new version wait.
get_resolver().url_patterns
if settings.FAULT == "crash":
    raise RuntimeError("this version is meant to crash")
