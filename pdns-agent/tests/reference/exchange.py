"""Reads exported lists as the programs do that they are for; what they make of them, as JSON.

Arguments: `stix FILE`, `sightings FILE`, `misp FILE` or `misp-feed DIRECTORY`. Sightings are of objects that are
elsewhere.
"""

import hashlib
import json
import pathlib
import sys

import pymisp
import stix2
import stix2patterns.validator
import stix2validator


def stix(path, enforce_refs=True):
    text = path.read_text()
    options = stix2validator.ValidationOptions(version="2.1", enforce_refs=enforce_refs)
    result = stix2validator.validate_string(text, options)
    reports = result.object_results if hasattr(result, "object_results") else [result]
    errors = [str(error) for report in reports for error in report.errors or []]
    warnings = [str(warning) for report in reports for warning in report.warnings or []]
    bundle = stix2.parse(text, allow_custom=False)
    for one in bundle.objects:
        # The library makes its own identifiers of SCOs if they have none.
        if one["type"] in ("domain-name", "ipv4-addr", "ipv6-addr"):
            plain = {"value": one["value"]}
            made = stix2.parse({"type": one["type"], **plain}, version="2.1")
            assert made["id"] == one["id"], (made["id"], one["id"])
        if one["type"] == "indicator":
            bad = stix2patterns.validator.run_validator(one["pattern"])
            errors += [f"{one['pattern']}: {error}" for error in bad]
    return {
        "is_valid": result.is_valid,
        "errors": errors,
        "warnings": warnings,
        "objects": [json.loads(one.serialize()) for one in bundle.objects],
    }


def sightings(path):
    return stix(path, enforce_refs=False)


def event(path):
    loaded = pymisp.MISPEvent()
    loaded.load_file(str(path), metadata_only=False)
    for one in loaded.objects:
        # Raises if attributes that the template requires are missing, or unknown to it.
        one._strict = True
        template = pymisp.MISPObject(one.name, strict=True)
        assert template.template_uuid == one.template_uuid, template.template_uuid
        assert str(template.template_version) == str(one.template_version), template.template_version
        for attribute in one.attributes:
            template.add_attribute(attribute.object_relation, value=attribute.value)
        assert not template.to_dict().get("errors")
    return loaded


def misp(path):
    return json.loads(event(path).to_json())


def feed(directory):
    manifest = json.loads((directory / "manifest.json").read_text())
    lines = (directory / "hashes.csv").read_text().splitlines()
    hashes = [line.split(",") for line in lines]
    events = {}
    for uuid, said in manifest.items():
        loaded = event(directory / f"{uuid}.json")
        own = loaded.manifest[uuid]
        for key in ("info", "date", "analysis", "threat_level_id", "timestamp"):
            assert str(own[key]) == str(said[key]), (key, own[key], said[key])
        assert own["Orgc"]["uuid"] == said["Orgc"]["uuid"]
        assert [tag["name"] for tag in own["Tag"]] == [tag["name"] for tag in said["Tag"]]
        for attribute in loaded.attributes:
            digest = hashlib.md5(attribute.value.encode()).hexdigest()
            assert [digest, uuid] in hashes, attribute.value
        events[uuid] = json.loads(loaded.to_json())
    return {"manifest": manifest, "hashes": len(hashes), "events": events}


KINDS = {"stix": stix, "sightings": sightings, "misp": misp, "misp-feed": feed}
print(json.dumps(KINDS[sys.argv[1]](pathlib.Path(sys.argv[2]))))
