from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.CharField(max_length=200)),
                ("answer", models.CharField(blank=True, max_length=200)),
                ("asked", models.DateTimeField(auto_now_add=True)),
                ("done", models.DateTimeField(null=True)),
            ],
        ),
    ]
