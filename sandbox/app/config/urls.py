from django.urls import include, path

# Snapify's API host adds /api before the path, its store does not.
urlpatterns = [path("", include("demo.urls")), path("api/", include(("demo.urls", "demo"), namespace="api"))]
