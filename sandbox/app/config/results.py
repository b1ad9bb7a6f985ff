from celery.backends.redis import RedisBackend


class PrefixedRedis(RedisBackend):
    """Keeps the results of tasks below the app's prefix, whatever Celery's version."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        options = self.app.conf.result_backend_transport_options
        prefix = options["global_keyprefix"].encode()
        for name in ("task_keyprefix", "group_keyprefix", "chord_keyprefix"):
            key = getattr(self, name)
            if not key.startswith(prefix):
                setattr(self, name, prefix + key)
