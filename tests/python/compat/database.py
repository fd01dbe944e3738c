"""
title: Database
"""

from open_webui.internal.db import Base, JSONField, engine, get_async_db_context, get_db


class Row(Base):
    __tablename__ = "rows"
    value = JSONField


class Pipe:
    def __init__(self):
        Base.metadata.create_all(bind=engine)

    async def pipe(self, body):
        with get_db() as db:
            rows = db.query(Row).filter_by(id=1).all()
        async with get_async_db_context() as db:
            more = (await db.execute("select 1")).scalars().all()
        return f"{len(rows) + len(more)} rows"
