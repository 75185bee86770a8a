import io
import tarfile

import pytest

from minichain.errors import DataError, FileError
from minichain.tar import read_members


def write_tar(path, members, format=tarfile.USTAR_FORMAT):
    with tarfile.open(path, 'w', format=format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def contents(path):
    members, _ = read_members(path)
    whole = path.read_bytes()
    return {name: whole[offset:offset + size] for name, offset, size in members}


@pytest.mark.parametrize('format', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_found_as_the_standard_library_finds_them(tmp_path, format):
    members = [('a.jpg', b'1'), ('folder/b.jpg', b'x' * 512), ('empty', b''),
               ('long/' + 'n' * 90 + '/c.jpg', b'y' * 513)]
    path = write_tar(tmp_path / 'a.tar', members, format)
    with tarfile.open(path) as archive:
        expected = {info.name: archive.extractfile(info).read() for info in archive}
    assert contents(path) == expected == dict(members)


@pytest.mark.parametrize('format', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_very_long_and_japanese_names_are_read(tmp_path, format):
    members = [('長い' * 80 + '.jpg', b'1'), ('short.jpg', b'2')]
    assert contents(write_tar(tmp_path / 'a.tar', members, format)) == dict(members)


def test_links_devices_and_pipes_are_counted_not_listed(tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo('link.jpg')
            info.type, info.linkname = kind, '/etc/passwd'
            archive.addfile(info)
        info = tarfile.TarInfo('folder')
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    assert read_members(tmp_path / 'a.tar') == ([], 4)


def test_a_size_in_base_256_is_read(tmp_path):
    path = write_tar(tmp_path / 'a.tar', [('a.jpg', b'123')])
    data = bytearray(path.read_bytes())
    data[124:136] = b'\x80' + (3).to_bytes(11, 'big')
    data[148:156] = b'%06o\0 ' % (sum(data[:148]) + 256 + sum(data[156:512]))
    path.write_bytes(data)
    assert contents(path) == {'a.jpg': b'123'}


@pytest.mark.parametrize('kept', [1, 511, 513, 1000, 1511, 1537, 2000])
def test_a_truncated_tar_is_refused_with_its_name(tmp_path, kept):
    path = write_tar(tmp_path / 'a.tar', [('a.jpg', b'x' * 1000), ('b.jpg', b'y')])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match='a.tar'):
        read_members(path)


def test_a_tar_without_its_last_zeros_is_read(tmp_path):
    path = write_tar(tmp_path / 'a.tar', [('a.jpg', b'x' * 512)])
    path.write_bytes(path.read_bytes()[:1024])
    assert contents(path) == {'a.jpg': b'x' * 512}


def test_a_compressed_tar_is_refused_with_advice(tmp_path):
    with tarfile.open(tmp_path / 'a.tar.gz', 'w:gz'):
        pass
    with open(tmp_path / 'a.tar.gz', 'ab') as file:
        file.write(b'\0' * 512)
    with pytest.raises(DataError, match='gzip.*unpack'):
        read_members(tmp_path / 'a.tar.gz')


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / 'a.tar').write_bytes(b'\xff\xd8\xff' * 1000)
    with pytest.raises(DataError, match='no tar'):
        read_members(tmp_path / 'a.tar')
    (tmp_path / 'a.tar').write_bytes(b'')
    with pytest.raises(DataError, match='too few'):
        read_members(tmp_path / 'a.tar')


def test_a_missing_tar_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match='nothing.tar'):
        read_members(tmp_path / 'nothing.tar')


def test_every_damaged_byte_of_a_header_gives_a_data_error_or_another_list(tmp_path):
    path = write_tar(tmp_path / 'a.tar', [('n' * 120 + '.jpg', b'1')], tarfile.PAX_FORMAT)
    whole = path.read_bytes()
    refused = 0
    for position in range(0, 1536, 7):
        data = bytearray(whole)
        data[position] ^= 0x15
        path.write_bytes(data)
        try:
            read_members(path)
        except DataError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize('record', [b'99999 path=a\n', b'0 path=a\n', b'x path=a\n', b'9 path\n',
                                    b'1' * 600, b'18 size=' + b'9' * 30 + b'\n'])
def test_a_hostile_pax_header_is_refused_at_once(tmp_path, record):
    info = tarfile.TarInfo('pax')
    info.type, info.size = tarfile.XHDTYPE, len(record)
    block = info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(1024, b'\0')
    file = tarfile.TarInfo('a.jpg').tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / 'a.tar').write_bytes(block[:512 + -(-len(record) // 512) * 512] + file)
    with pytest.raises(DataError, match='pax'):
        read_members(tmp_path / 'a.tar')
