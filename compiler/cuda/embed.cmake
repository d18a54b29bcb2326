# cmake -DOUT=Prelude.cpp -DFILES="a;b" -P embed.cmake: the files as C++ string literals.
set(text "#include \"compiler/cuda/Cuda.h\"\nnamespace r1::cuda {\nconst std::vector<std::pair<std::string, std::string>> &prelude() {\n  static const std::vector<std::pair<std::string, std::string>> files = {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} content)
  string(APPEND text "{\"${name}\", R\"__r1__(${content})__r1__\"},\n")
endforeach()
string(APPEND text "  };\n  return files;\n}\n} // namespace r1::cuda\n")
file(WRITE ${OUT} "${text}")
