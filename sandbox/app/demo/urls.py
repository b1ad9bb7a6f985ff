from django.urls import path

from demo import views

urlpatterns = [
    path("", views.index),
    path("health", views.health),
    path("jobs", views.jobs),
    path("jobs/<int:pk>", views.job, name="job"),
]
