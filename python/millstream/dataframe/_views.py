"""Arrow types that pandas can read: views of texts and bytes within lists and structs become plain ones."""

from __future__ import annotations

import pyarrow as pa


def readable(type_: pa.DataType) -> pa.DataType:
    """The type with plain texts and bytes in what it holds; a view that is a column by itself is read as it is."""
    if pa.types.is_list(type_):
        return pa.list_(_plain_field(type_.value_field))
    if pa.types.is_large_list(type_):
        return pa.large_list(_plain_field(type_.value_field))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(_plain_field(type_.value_field), type_.list_size)
    if pa.types.is_struct(type_):
        return pa.struct([_plain_field(type_.field(place)) for place in range(type_.num_fields)])
    if pa.types.is_map(type_):
        return pa.map_(_plain_field(type_.key_field), _plain_field(type_.item_field), type_.keys_sorted)
    return type_


def _plain_field(field: pa.Field) -> pa.Field:
    if pa.types.is_string_view(field.type):
        return field.with_type(pa.string())
    if pa.types.is_binary_view(field.type):
        return field.with_type(pa.binary())
    return field.with_type(readable(field.type))
