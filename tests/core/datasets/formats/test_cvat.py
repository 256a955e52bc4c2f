"""CVAT for images and for video."""

from itertools import pairwise
from pathlib import Path

import pytest

from mlc_cli.core.datasets.formats.cvat import cvat_reader
from mlc_cli.errors import DataError

META = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <project>
      <name>street</name>
      <labels>
        <label><name>cat</name><color>#fa3253</color><type>any</type><attributes></attributes></label>
        <label><name>traffic light</name><type>tag</type></label>
        <label><name>body</name><type>skeleton</type></label>
        <label><name>nose</name><type>points</type><parent>body</parent></label>
        <label><name>unused</name></label>
      </labels>
    </project>
    <dumped>2024-01-01</dumped>
  </meta>
"""
IMAGES = """  <image id="0" name="a.jpg" subset="train" task_id="1" width="640" height="480">
    <tag label="traffic light" source="manual"></tag>
    <box label="cat" source="manual" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4" z_order="0">
      <attribute name="fur">yes</attribute>
    </box>
    <box label="cat" xtl="1" ytl="2" xbr="3" ybr="4"></box>
  </image>
  <image id="1" name="sub/b c.jpg" subset="val" width="640" height="480">
    <skeleton label="body"><points label="nose" points="1,2"></points></skeleton>
    <polygon label="cat" points="1,2;3,4;5,6"></polygon>
  </image>
  <image id="2" name="c.jpg" subset="default" width="640" height="480"></image>
"""
XML = f"{META}{IMAGES}</annotations>\n"


def test_tags_shapes_and_subsets(put, read_all, tmp_path: Path) -> None:
    file = put("annotations.xml", XML)
    reading = read_all(cvat_reader(), tmp_path)
    assert reading.states == {
        ("train", "a.jpg"): ({"traffic light", "cat"}, set()),
        ("val", "sub/b c.jpg"): ({"body", "cat"}, set()),
        ("", "c.jpg"): (set(), set()),
    }
    assert reading.source.classes == ["cat", "traffic light", "body", "unused"]
    assert reading.source.image_root == tmp_path
    assert not reading.dropped.counts
    assert read_all(cvat_reader(), file).states == reading.states
    assert cvat_reader().detect(tmp_path) == "<annotations> in annotations.xml"


def test_images_of_a_project_are_in_folders_of_subsets(put, read_all, tmp_path: Path) -> None:
    put("annotations.xml", XML), put("images/train/a.jpg"), put("images/c.jpg")
    reading = read_all(cvat_reader(), tmp_path)
    assert set(reading.labels) == {"train/a.jpg", "sub/b c.jpg", "c.jpg"}
    assert reading.source.image_root == tmp_path / "images"
    assert read_all(cvat_reader(), tmp_path, tmp_path / "x").source.image_root == tmp_path / "x"


def test_what_has_no_name_or_no_label_is_counted(put, read_all) -> None:
    file = put(
        "a.xml",
        "<annotations><meta/><image id='0'/><image name='a.jpg'><box/><tag label='x'/></image>"
        "<track id='7'><box frame='0'/></track>"
        "<track id='8' label='car'><box frame='-1'/><box/></track></annotations>",
    )
    reading = read_all(cvat_reader(), file)
    assert reading.labels == {"a.jpg": {"x"}}
    assert reading.source.classes is None
    assert reading.dropped.examples == {
        "images without a name": [f"{file}, image 1"],
        "tags and shapes without a label": ["a.jpg: box", "track 7"],
        "shapes of a track without a frame": ["car: -1", "car: "],
    }


VIDEO = f"""{META}
  <track id="0" label="cat" source="manual">
    <box frame="0" keyframe="1" outside="0" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4">
      <attribute name="fur">yes</attribute>
    </box>
    <box frame="1" keyframe="0" outside="0" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4"/>
    <box frame="2" keyframe="1" outside="1" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4"/>
  </track>
  <track id="1" label="traffic light"><polygon frame="1" outside="0" points="1,2;3,4;5,6"/></track>
  <track id="2" label="body">
    <skeleton frame="1" keyframe="1" z_order="0">
      <points label="nose" outside="1" points="1,2"/><points label="ear" outside="0" points="1,2"/>
      <attribute name="a">b</attribute>
    </skeleton>
    <skeleton frame="2" keyframe="1" z_order="0">
      <points label="nose" outside="1" points="1,2"/><attribute name="a">b</attribute>
    </skeleton>
  </track>
</annotations>
"""
NO_IMAGE = "frames of a video without an image (export it with images, or as CVAT for images)"


def test_a_track_labels_the_frames_in_which_it_is_not_outside(put, read_all, tmp_path) -> None:
    put("annotations.xml", VIDEO)
    put("images/frame_000000.PNG"), put("images/frame_000001.jpg"), put("images/frame_000002.PNG")
    put("images/frame_000012.PNG"), put("images/frame_000001.txt"), put("images/other.jpg")
    reading = read_all(cvat_reader(), tmp_path)
    assert reading.states == {
        ("", "frame_000000.PNG"): ({"cat"}, set()),
        ("", "frame_000001.jpg"): ({"cat", "traffic light", "body"}, set()),
        ("", "frame_000002.PNG"): (set(), set()),
        ("", "frame_000012.PNG"): (set(), set()),
    }
    assert reading.source.classes == ["cat", "traffic light", "body", "unused"]
    assert not reading.dropped.counts
    assert cvat_reader().detect(tmp_path) == "<annotations> in annotations.xml"


def test_frames_without_an_image_are_counted(put, read_all, tmp_path: Path) -> None:
    put("annotations.xml", VIDEO), put("images/frame_000000.PNG"), put("images/frame_000000.jpg")
    reading = read_all(cvat_reader(), tmp_path)
    assert reading.labels == {"frame_000000.PNG": {"cat"}}
    assert reading.dropped.examples == {
        "further images of a frame": ["frame_000000.jpg"],
        NO_IMAGE: [f"{tmp_path}/images/frame_000001: cat, traffic light, body"],
    }


def track(label: str, subset: str, task: int, frame: int) -> str:
    return (
        f'<track id="0" label="{label}" task_id="{task}" subset="{subset}">'
        f'<box frame="{frame}" outside="0"/></track>'
    )


def test_videos_of_a_project_are_told_apart_by_their_subsets(put, read_all, tmp_path) -> None:
    tracks = track("cat", "train", 1, 0) + track("dog", "default", 2, 0) + track("x", "train", 3, 1)
    put("annotations.xml", f"<annotations><meta/>{tracks}</annotations>")
    put("images/train/frame_000000.PNG"), put("images/train/frame_000001.PNG")
    put("images/default/frame_000000.PNG")
    reading = read_all(cvat_reader(), tmp_path)
    assert reading.states == {
        ("train", "train/frame_000000.PNG"): ({"cat"}, set()),
        ("train", "train/frame_000001.PNG"): (set(), set()),
        ("", "default/frame_000000.PNG"): ({"dog"}, set()),
    }
    assert reading.dropped.examples == {
        "tracks of a second video with images in the same folder (export each task)": ["x, task 3"]
    }


def test_a_video_exported_as_images_names_them_without_suffix(put, read_all, tmp_path) -> None:
    image = '<image id="0" name="frame_000003" width="1" height="1"><tag label="cat"/></image>'
    put("annotations.xml", f"<annotations><meta/>{image}</annotations>")
    put("images/frame_000003.PNG")
    assert read_all(cvat_reader(), tmp_path).labels == {"frame_000003.PNG": {"cat"}}


def test_any_damage_of_tracks_ends_in_a_message(put, tmp_path: Path, damaged_outcomes) -> None:
    put("images/frame_000001.jpg")
    file = put("annotations.xml", VIDEO)
    assert damaged_outcomes(cvat_reader(), tmp_path, file) <= {"read", "refused"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (META, "is not valid XML"),
        (XML[:-120], "is not valid XML"),
        ("", "is not valid XML"),
        ("{}", "is not valid XML"),
        ('<?xml version="1.0" encoding="gb18030x"?><annotations/>', "is not valid XML"),
        (b"\xff\xfe" + XML.encode(), "is not valid XML"),
        ('<!DOCTYPE a [<!ENTITY x "y">]>' + "<annotations>&x;</annotations>", "defines entities"),
    ],
)
def test_damaged_files_are_refused(put, read_all, content, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_all(cvat_reader(), put("annotations.xml", content))
    assert "annotations.xml" in caught.value.message


def test_a_bomb_of_entities_is_refused_before_it_goes_off(put, read_all) -> None:
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names))
    bomb = f'<!DOCTYPE x [<!ENTITY a "ha">{entities}]><annotations>&j;</annotations>'
    with pytest.raises(DataError, match="defines entities, which are refused"):
        read_all(cvat_reader(), put("annotations.xml", bomb))


def test_other_files_are_not_taken_for_it(put, tmp_path: Path) -> None:
    assert cvat_reader().detect(tmp_path) is None
    assert cvat_reader().detect(put("a.xml", "<annotation></annotation>")) is None


def test_any_damage_ends_in_a_message(put, tmp_path: Path, damaged_outcomes) -> None:
    assert damaged_outcomes(cvat_reader(), tmp_path, put("annotations.xml", XML)) == {
        "read",
        "refused",
    }


SCENE = """<annotations><meta><task><labels><label><name>scene</name><type>tag</type><attributes>
<attribute><name>wet</name><input_type>checkbox</input_type><values>false</values></attribute>
<attribute><name>sky</name><input_type>select</input_type><values>grey\nblue</values></attribute>
<attribute><name>who</name><input_type>text</input_type><values/></attribute>
</attributes></label></labels></task></meta>{}</annotations>"""
TAG = """<image id="{0}" name="{0}.jpg"><tag label="scene"><attribute name="wet">{1}</attribute>
<attribute name="sky">{2}</attribute><attribute name="who">Ann</attribute></tag></image>"""


def test_attributes_of_tags_are_labels_when_asked_for(put, read_all) -> None:
    tags = TAG.format(0, "true", "grey") + TAG.format(1, "false", "__undefined__")
    file = put("annotations.xml", SCENE.format(tags))
    ignored = read_all(cvat_reader(), file)
    assert ignored.labels == {"0.jpg": {"scene"}, "1.jpg": {"scene"}}
    assert "attributes of tags are not read (wet, sky, who)" in ignored.source.remarks[0]
    reading = read_all(cvat_reader("labels"), file)
    assert reading.labels == {"0.jpg": {"scene", "wet", "grey"}, "1.jpg": {"scene"}}
    assert reading.source.classes == ["scene", "wet", "grey", "blue"]
    assert reading.source.remarks == ()
    assert reading.dropped.counts == {"attributes of text or numbers (no labels)": 2}


def test_several_files_tell_their_splits_or_are_named(put, read_all, tmp_path: Path) -> None:
    for place, name in (("train.xml", "a"), ("val.xml", "b")):
        put(
            place,
            f'<annotations><image id="0" name="{name}.jpg"><tag label="x"/></image></annotations>',
        )
    reading = read_all(cvat_reader(), tmp_path)
    assert list(reading.states) == [("train", "a.jpg"), ("val", "b.jpg")]
    assert reading.source.unsplit == ()
    (tmp_path / "val.xml").rename(tmp_path / "more.xml")
    put("task/annotations.xml", (tmp_path / "train.xml").read_bytes()), put("task/images/a.jpg")
    (tmp_path / "train.xml").unlink()
    reading = read_all(cvat_reader(), tmp_path)
    assert list(reading.labels) == ["b.jpg", "task/images/a.jpg"]
    assert reading.source.unsplit == ("more.xml", "annotations.xml")
