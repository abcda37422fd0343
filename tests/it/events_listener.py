"""Listens to a topic exchange and prints one JSON line for each message.

usage: events_listener.py AMQP_URL EXCHANGE BINDING_KEY...
The first line is {"listening": true}. Needs the library pika.
"""

import json
import sys

import pika


def main(url, exchange, keys):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    for key in keys:
        channel.queue_bind(queue, exchange, routing_key=key)
    print(json.dumps({"listening": True}), flush=True)
    for method, properties, body in channel.consume(queue):
        line = {
            "key": method.routing_key,
            "content_type": properties.content_type,
            "delivery_mode": properties.delivery_mode,
            "message_id": properties.message_id,
            "type": properties.type,
            "event": json.loads(body),
        }
        print(json.dumps(line), flush=True)
        channel.basic_ack(method.delivery_tag)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
