from channels.generic.websocket import AsyncWebsocketConsumer


class Echo(AsyncWebsocketConsumer):
    """Answers what it is told, by way of the channel layer, so through Redis."""

    async def connect(self):
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send(self.group, {"type": "told", "text": text_data})

    async def told(self, event):
        await self.send(event["text"])

    @property
    def group(self):
        return "echo." + self.channel_name.rpartition("!")[2]
