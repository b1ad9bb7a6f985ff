from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("demo", "0001_initial")]
    operations = [migrations.AddField("Job", "note", models.CharField(max_length=200, null=True))]
