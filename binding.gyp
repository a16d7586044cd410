# For `node-gyp rebuild` and `electron-rebuild --build-from-source` in a checkout; CMake does the
# work. Not published: see "gypfile" in package.json.
{
  "targets": [{
    "target_name": "lacuna",
    "type": "none",
    "actions": [{
      "action_name": "cmake",
      "inputs": ["CMakeLists.txt"],
      "outputs": ["<(PRODUCT_DIR)/lacuna.node"],
      "action": ["node", "scripts/native-build.mjs", "compile", "--config=<(CONFIGURATION_NAME)"]
    }]
  }]
}
