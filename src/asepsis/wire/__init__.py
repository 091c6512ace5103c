"""What crosses the wire: closed, frozen shapes of the API's answers; imports nothing else of the product."""
