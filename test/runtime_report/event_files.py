"""event_files.py STORE: what TensorBoard's own reader finds in the event files of a store, by stage: tags of scalars, of
histograms and of texts. Says so where it is not installed (pip install tensorboard)."""
import glob
import json
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("not read: tensorboard is not installed")
    sys.exit()
for manifest in sorted(glob.glob(sys.argv[1] + "/*/manifest.json")):
    stage = json.load(open(manifest))["stage"]
    for folder in glob.glob(manifest[:-13] + "tensorboard"):
        events = EventAccumulator(folder, size_guidance={"tensors": 0})
        events.Reload()
        tags = events.Tags()
        print(stage, "scalars:", *sorted(tags["scalars"]))
        for tag in sorted(tags["tensors"]):
            plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
            tensor = events.Tensors(tag)[-1].tensor_proto
            shape = [d.size for d in tensor.tensor_shape.dim]
            print(stage, plugin, tag, shape, "step", events.Tensors(tag)[-1].step)
            if plugin == "text":
                print(tensor.string_val[0].decode())
