"""
One thin file per neighbour: web frameworks, object storage.

Each needs its own library, by an extra of the same name. They may import all of the
package; nothing of it imports them.
"""
